"""What data looks like: contracts, classifications, Arrow schemas, records. Imports no Beam."""
