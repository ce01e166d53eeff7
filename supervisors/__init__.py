"""Who judges beside the guards that are here: services and libraries that are asked. Optimizers move in later."""
