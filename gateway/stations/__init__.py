"""The stations of one request, in the order it passes them."""
