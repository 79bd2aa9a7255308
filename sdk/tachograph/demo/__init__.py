"""The bundled demo agents."""
