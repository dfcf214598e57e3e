"""Who may connect: the apps' keys in the database, and what the broker is told of them."""
