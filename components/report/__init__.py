"""Shows the data, the model and every slice of it in one page that needs no network."""
