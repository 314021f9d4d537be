"""Generated from `site.proto` by `make proto`; do not edit."""
