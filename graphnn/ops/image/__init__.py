"""Images: values between pixels, windows at any place, and what training does to its images."""
