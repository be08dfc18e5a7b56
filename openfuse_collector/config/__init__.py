"""Configuration: YAML sources, ${env:…} expansion, merging, and turning nodes into the components' own config types."""
