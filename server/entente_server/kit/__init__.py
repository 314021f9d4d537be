"""Small parts the services share: database, bell, access, problems."""
