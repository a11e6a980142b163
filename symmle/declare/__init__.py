"""What a user says, as a plain Declaration: text, tables, random variables and SymPy objects."""
