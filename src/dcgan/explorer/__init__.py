"""`dcgan explore`: a page on this machine to look at runs with. `server.serve` starts it."""
