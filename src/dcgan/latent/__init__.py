"""What the latent space of a trained generator holds: arithmetic, a turn vector, the z of a picture."""
