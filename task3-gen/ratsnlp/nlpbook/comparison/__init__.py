"""Many ways to decode side by side: one page, its pictures, and the figures behind them."""
