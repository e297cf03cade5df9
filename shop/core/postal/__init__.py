"""Delivery addresses as each country writes them: fields, postcodes, states, order of the lines. No database."""
