"""Seeds: records of images, annotations and Q&A, drawn or read, and audited before anything is spent."""
