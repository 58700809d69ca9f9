"""What the displays share."""

from typing import Any

from sklearn.utils._optional_dependencies import check_matplotlib_support


class Display:
    """Plot with an axes and a figure."""

    ax_: Any
    figure_: Any

    def _take_axes(self, ax: Any) -> Any:
        """Keep the axes to draw in; None makes a figure."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax

    def _add_legend(self) -> None:
        """Add a legend where something has a name."""
        if self.ax_.get_legend_handles_labels()[0]:
            self.ax_.legend()
