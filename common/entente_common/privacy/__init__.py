"""What a run costs in privacy, and how it is said."""
