"""What travels between coordinator and sites: the site channel and the Flower messages."""
