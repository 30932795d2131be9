"""The benchmarks' own logic: what is measured is not a test's business, that it is added up rightly is."""
