"""The site agent: enrols with a coordinator, keeps the site channel open, supervises the node."""
