"""What `finr1` can do, a module for each part of the work; libraries are imported by the command that needs them."""
