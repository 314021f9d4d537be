"""The documents people write and the models processes exchange, each checked at the edge."""
