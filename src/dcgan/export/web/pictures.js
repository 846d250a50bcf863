// Pictures on canvases, side by side, and as PNG files.

/** Show an ImageData on a canvas, which takes its size. */
export function show(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Pictures row by row as one, with two pixels of black between them. */
export function sheet(images, columns) {
  const gap = 2, [{ width, height }] = images;
  const canvas = document.createElement("canvas");
  canvas.width = columns * (width + gap) + gap;
  canvas.height = Math.ceil(images.length / columns) * (height + gap) + gap;
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, canvas.width, canvas.height);
  images.forEach((image, i) => {
    context.putImageData(image, gap + (i % columns) * (width + gap), gap + Math.floor(i / columns) * (height + gap));
  });
  return canvas;
}

/** Offer a canvas as a PNG file. */
export function download(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}

/** mean(a) - mean(b) + mean(c), or the mean of one list, pixel by pixel. */
export function pixelArithmetic(a, b = [], c = []) {
  const image = new ImageData(a[0].width, a[0].height);
  const at = (list, i) => (list.length ? list.reduce((sum, { data }) => sum + data[i], 0) / list.length : 0);
  for (let i = 0; i < image.data.length; i++) image.data[i] = at(a, i) - at(b, i) + at(c, i); // rounded and clipped
  return image;
}
