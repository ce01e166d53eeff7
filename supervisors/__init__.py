"""Who judges and improves. Critics and optimizers move in with their own issues; the floor is kept free for them."""
