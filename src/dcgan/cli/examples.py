"""What each command is used for, as lines that can be typed: below its --help, and parsed by a test."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "train": (
        ("dcgan train digits --minutes 3", "handwritten digits, no network needed"),
        ("dcgan train photos/ --minutes 30 --flip", "a folder of your own pictures, mirrored ones too"),
        ("dcgan train mnist --preset paper-mnist --n-epochs 25", "the authors' class-conditional networks"),
        ("dcgan train --resume runs/photos-fast --minutes 60", "go on with it, up to an hour in all"),
    ),
    "sample": (
        ("dcgan sample runs/photos-fast -n 25 --out grid.png", "a grid of 25"),
        ("dcgan sample runs/mnist-paper-mnist --class 7 -n 1000 --out sevens.zip", "a thousand sevens"),
        ("dcgan sample runs/photos-fast -n 64 --truncation 0.7 --out typical.png", "more typical, less varied"),
    ),
    "evaluate": (
        ("dcgan evaluate runs/photos-fast", "FID, KID, precision, recall, density, coverage"),
        ("dcgan evaluate runs/mnist-fast --metrics fid,prc --extractor classifier", "by the set's own classifier"),
        ("dcgan evaluate runs/photos-fast --metrics memorisation", "are training images drawn again?"),
    ),
    "latent walk": (
        ("dcgan latent walk runs/photos-fast --out walk.png", "a path a row, as in the paper's Figure 4"),
        ("dcgan latent walk runs/photos-fast --through 3,17,42 --loop --out walk.gif", "a film through three samples"),
    ),
    "import-authors": (("dcgan import-authors svhn-weights/ --out runs/svhn-authors", "then use it as any run"),),
    "latent arithmetic": (
        ("dcgan latent arithmetic runs/faces --a 3,17,42 --b 5,6,8 --c 1,2,9 --out sum.png", "of samples by number"),
        ("dcgan latent arithmetic runs/faces --a smiling --b neutral --c neutral --out smiles.png", "of classes"),
    ),
    "latent turn": (
        ("dcgan latent turn runs/faces --from neutral --to smiling --out turn.png", "faces that begin to smile"),
    ),
    "latent project": (
        ("dcgan latent project runs/faces me.jpg --out me.png --json me.json", "the latent of your own picture"),
    ),
    "reproduce": (
        ("dcgan reproduce figure7 --data faces.zip", "one figure of the paper, trained if need be"),
        ("dcgan reproduce table3 --data mnist", "one table"),
    ),
    "features inspect": (("dcgan features inspect runs/photos-fast --out inspect.png", "what six maps respond to"),),
    "features forget": (
        ("dcgan features forget runs/faces --region 40,16,16,32 --out forgot.png", "without what is in this box"),
    ),
    "features extract": (("dcgan features extract runs/mnist-fast --out features", "arrays for your own classifier"),),
    "features probe": (
        ("dcgan features probe runs/mnist-fast --labels 1000", "a linear SVM with 1,000 labels, as in Table 2"),
    ),
    "data dedup": (
        ("dcgan data dedup photos/ --out duplicates", "show near-duplicates; nothing is touched"),
        ("dcgan data dedup photos/ --out duplicates --move-to aside", "and move all but the best away"),
    ),
    "data faces": (("dcgan data faces photos/ --out faces", "the faces as pictures of their own"),),
    "report": (
        ("dcgan report runs/photos-fast", "write its report.html anew, after an evaluation say"),
        ("dcgan report runs/photos-fast --out photos.html", "or another file, to send to someone"),
    ),
    "data pack": (
        ("dcgan data pack photos/ --shards shards/", "tar shards of 10,000 pictures, for sets larger than a disk"),
        ("dcgan data pack photos.zip --shards shards/ --image-size 64", "resized once"),
    ),
    "explore": (
        ("dcgan explore runs/photos-fast", "draw, walk, slide, add, forget and follow the training, in a browser"),
        ("dcgan explore runs/photos-fast runs/photos-fast-2", "two runs side by side"),
    ),
    "export": (
        ("dcgan export runs/photos-fast --onnx photos.onnx", "for onnxruntime, in any language"),
        ("dcgan export runs/photos-fast --web site/", "a page that draws in the visitor's own browser"),
    ),
    "push": (
        ("dcgan push runs/photos-fast me/photos --folder card", "look first at what would be uploaded"),
        ("dcgan push runs/photos-fast me/photos --licence cc-by-4.0", "to a private repository of the hub"),
        ("dcgan push runs/photos-fast me/photos --update", "a newer version into the same repository"),
    ),
    "completion": (
        ("dcgan completion bash", 'in ~/.bashrc: eval "$(dcgan completion bash)"'),
        ("dcgan completion fish", "into ~/.config/fish/completions/dcgan.fish"),
    ),
    "info": (("dcgan info --json", "for a program, or a report of an error"),),
}


def epilog(command: str) -> str:
    """The examples of a command in two columns; empty if it has none."""
    lines = EXAMPLES.get(command, ())
    return "\n".join(["examples:", *(f"  {line}\n      {what}" for line, what in lines)]) if lines else ""
