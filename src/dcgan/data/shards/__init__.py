"""Data that is larger than a disk: pictures in many tars, here or behind URLs, read while they are trained on."""
