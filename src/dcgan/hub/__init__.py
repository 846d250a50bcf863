"""Models on the Hugging Face hub: their names, what is fetched, what is uploaded, and the card beside them."""
