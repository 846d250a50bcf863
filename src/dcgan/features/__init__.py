"""What a discriminator has learned: its features, and how well a linear classifier does on them."""
