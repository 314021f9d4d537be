"""The site's data: read by connectors, checked against contracts, kept in a catalogue, split."""
