"""Sign-in with an account at an OpenID Connect issuer: by redirect, or with an ID token that a program hands over."""
