"""A library lends books: the trade of the tests, as far from money as can be."""
