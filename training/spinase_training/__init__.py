"""Training of learned magnets: recipes, a thin driver on hippynn's trainer, figures, validation."""
