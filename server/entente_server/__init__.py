"""The coordinator: governance API, site channel and Flower coordination."""
