"""From whatever the user points at to a memory map of pictures: sources → pack → batches."""
