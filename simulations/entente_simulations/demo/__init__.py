"""`entente demo`: a whole federation on one machine, and a report on what it showed."""
