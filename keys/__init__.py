"""The simulated SMKI: certificate profiles, ceremony, path validation and key stores."""
