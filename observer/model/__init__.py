"""Values that all other parts exchange: frozen, plain, without behaviour beyond their own meaning."""
