"""What the demo stages: public data divided among sites, one contract, and a few jobs."""
