"""Who is who: keys, certificates, signed statements and the membership they prove."""
