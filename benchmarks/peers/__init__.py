"""The systems measured beside inferkit. Fixed code: change it only to make a peer stronger."""
