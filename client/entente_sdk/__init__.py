"""HTTP client and command line for admins and researchers."""
