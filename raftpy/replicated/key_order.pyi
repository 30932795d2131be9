"""The order of keys; what is in key_order.pyx is for C alone."""
