"""What is learnt and how it is judged: metrics in numpy, models in torch files loaded lazily."""
