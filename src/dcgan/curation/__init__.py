"""Images made ready to be learned from: duplicates found and left out, faces cut from photographs."""
