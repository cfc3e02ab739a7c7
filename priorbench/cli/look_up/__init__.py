"""Names, and what there is to say of them; what runs have found belongs elsewhere."""
