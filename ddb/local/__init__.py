"""A whole cluster on one machine: started, broken, healed and looked at from the command line."""
