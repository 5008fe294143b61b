"""What must hold: facts, policies, suites, reconciliation. Imports no Beam."""
