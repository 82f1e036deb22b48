"""Users of OpenID Connect issuers, as an AuthenticationConfiguration names them: its file, an issuer's keys, what claims become."""
