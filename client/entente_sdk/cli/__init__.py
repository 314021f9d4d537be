"""The `entente` command: `entente <noun> <verb>`."""
