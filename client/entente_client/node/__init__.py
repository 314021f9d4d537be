"""The Flower node of a site: a resident process that answers messages with torch already loaded."""
