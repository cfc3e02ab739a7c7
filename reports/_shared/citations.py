"""Every work that a report may cite, in full, in this one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Publication:
    """A published work.

    Attributes:
        short: in the text: ``Holm 1979``.
        full: in the list of references, without its DOI.
        doi: or "" where there is none that is known for sure.
        cited_as: how components name it in their ``citation``; "" if none does.
    """

    short: str
    full: str
    doi: str = ""
    cited_as: str = ""

    @property
    def text(self) -> str:
        """The entry in the list of references."""
        return f"{self.full} https://doi.org/{self.doi}" if self.doi else self.full


WORKS: dict[str, Publication] = {
    "adam": Publication(
        "Kingma & Ba 2015",
        "Kingma, D. P. & Ba, J. (2015). Adam: a method for stochastic optimization. International "
        "Conference on Learning Representations. arXiv:1412.6980.",
    ),
    "agarwal": Publication(
        "Agarwal et al. 2021",
        "Agarwal, R., Schwarzer, M., Castro, P. S., Courville, A. & Bellemare, M. G. (2021). Deep "
        "reinforcement learning at the edge of the statistical precipice. Advances in Neural "
        "Information Processing Systems 34, 29304–29320.",
    ),
    "arvesen": Publication(
        "Arvesen 1969",
        "Arvesen, J. N. (1969). Jackknifing U-statistics. Annals of Mathematical Statistics 40, "
        "2076–2100.",
        "10.1214/aoms/1177697287",
    ),
    "basset": Publication(
        "Kelley et al. 2016",
        "Kelley, D. R., Snoek, J. & Rinn, J. L. (2016). Basset: learning the regulatory code of "
        "the accessible genome with deep convolutional neural networks. Genome Research 26, "
        "990–999.",
        "10.1101/gr.200535.115",
        "Kelley, Snoek & Rinn, Genome Research 2016",
    ),
    "benavoli": Publication(
        "Benavoli et al. 2016",
        "Benavoli, A., Corani, G. & Mangili, F. (2016). Should we really use post-hoc tests based "
        "on mean-ranks? Journal of Machine Learning Research 17(5), 1–10.",
    ),
    "benjamini": Publication(
        "Benjamini & Hochberg 1995",
        "Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate: a practical "
        "and powerful approach to multiple testing. Journal of the Royal Statistical Society B "
        "57, 289–300.",
        "10.1111/j.2517-6161.1995.tb02031.x",
    ),
    "bishop": Publication(
        "Bishop 1995",
        "Bishop, C. M. (1995). Training with noise is equivalent to Tikhonov regularization. "
        "Neural Computation 7, 108–116.",
        "10.1162/neco.1995.7.1.108",
        "Bishop, Neural Computation 1995",
    ),
    "bpnet": Publication(
        "Avsec et al. 2021",
        "Avsec, Ž., Weilert, M., Shrikumar, A., Krueger, S., Alexandari, A., Dalal, K., Fropf, "
        "R., McAnany, C., Gagneur, J., Kundaje, A. & Zeitlinger, J. (2021). Base-resolution "
        "models of transcription-factor binding reveal soft motif syntax. Nature Genetics 53, "
        "354–366.",
        "10.1038/s41588-021-00782-6",
        "Avsec et al., Nature Genetics 2021",
    ),
    "deepbind": Publication(
        "Alipanahi et al. 2015",
        "Alipanahi, B., Delong, A., Weirauch, M. T. & Frey, B. J. (2015). Predicting the sequence "
        "specificities of DNA- and RNA-binding proteins by deep learning. Nature Biotechnology "
        "33, 831–838.",
        "10.1038/nbt.3300",
        "Alipanahi et al., Nature Biotechnology 2015",
    ),
    "deeplift": Publication(
        "Shrikumar et al. 2017",
        "Shrikumar, A., Greenside, P. & Kundaje, A. (2017). Learning important features through "
        "propagating activation differences. Proceedings of the 34th International Conference on "
        "Machine Learning, PMLR 70, 3145–3153.",
        cited_as="Shrikumar, Greenside & Kundaje, ICML 2017",
    ),
    "deepsea": Publication(
        "Zhou & Troyanskaya 2015",
        "Zhou, J. & Troyanskaya, O. G. (2015). Predicting effects of noncoding variants with deep "
        "learning–based sequence model. Nature Methods 12, 931–934.",
        "10.1038/nmeth.3547",
        "Zhou & Troyanskaya, Nature Methods 2015",
    ),
    "delong": Publication(
        "DeLong et al. 1988",
        "DeLong, E. R., DeLong, D. M. & Clarke-Pearson, D. L. (1988). Comparing the areas under "
        "two or more correlated receiver operating characteristic curves: a nonparametric "
        "approach. Biometrics 44, 837–845.",
        "10.2307/2531595",
    ),
    "drucker": Publication(
        "Drucker & LeCun 1992",
        "Drucker, H. & LeCun, Y. (1992). Improving generalization performance using double "
        "backpropagation. IEEE Transactions on Neural Networks 3, 991–997.",
        "10.1109/72.165600",
        "Drucker & LeCun, IEEE Transactions on Neural Networks 1992",
    ),
    "dropout": Publication(
        "Srivastava et al. 2014",
        "Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I. & Salakhutdinov, R. (2014). "
        "Dropout: a simple way to prevent neural networks from overfitting. Journal of Machine "
        "Learning Research 15, 1929–1958.",
        cited_as="Srivastava et al., JMLR 2014",
    ),
    "erion": Publication(
        "Erion et al. 2021",
        "Erion, G., Janizek, J. D., Sturmfels, P., Lundberg, S. M. & Lee, S.-I. (2021). Improving "
        "performance of deep learning models with axiomatic attribution priors and expected "
        "gradients. Nature Machine Intelligence 3, 620–631.",
        "10.1038/s42256-021-00343-w",
        "Erion et al., Nature Machine Intelligence 2021",
    ),
    "exponential": Publication(
        "Koo & Ploenzke 2021",
        "Koo, P. K. & Ploenzke, M. (2021). Improving representations of genomic sequence motifs "
        "in convolutional networks with exponential activations. Nature Machine Intelligence 3, "
        "258–266.",
        "10.1038/s42256-020-00291-x",
        "Koo & Ploenzke, Nature Machine Intelligence 2021",
    ),
    "farley": Publication(
        "Farley et al. 2015",
        "Farley, E. K., Olson, K. M., Zhang, W., Brandt, A. J., Rokhsar, D. S. & Levine, M. S. "
        "(2015). Suboptimization of developmental enhancers. Science 350, 325–328.",
        cited_as="Farley et al., Science 2015",
    ),
    "fimo": Publication(
        "Grant et al. 2011",
        "Grant, C. E., Bailey, T. L. & Noble, W. S. (2011). FIMO: scanning for occurrences of a "
        "given motif. Bioinformatics 27, 1017–1018.",
        "10.1093/bioinformatics/btr064",
    ),
    "fisher": Publication(
        "Fisher 1935",
        "Fisher, R. A. (1935). The Design of Experiments. Oliver and Boyd, Edinburgh.",
    ),
    "fourier": Publication(
        "Tseng et al. 2020",
        "Tseng, A. M., Shrikumar, A. & Kundaje, A. (2020). Fourier-transform-based attribution "
        "priors improve the interpretability and stability of deep learning models for genomics. "
        "Advances in Neural Information Processing Systems 33.",
        cited_as="Tseng, Shrikumar & Kundaje, NeurIPS 2020",
    ),
    "friedman": Publication(
        "Friedman 1937",
        "Friedman, M. (1937). The use of ranks to avoid the assumption of normality implicit in "
        "the analysis of variance. Journal of the American Statistical Association 32, 675–701.",
        "10.1080/01621459.1937.10503522",
    ),
    "gkm": Publication(
        "Ghandi et al. 2014",
        "Ghandi, M., Lee, D., Mohammad-Noori, M. & Beer, M. A. (2014). Enhanced regulatory "
        "sequence prediction using gapped k-mer features. PLoS Computational Biology 10, "
        "e1003711.",
        "10.1371/journal.pcbi.1003711",
    ),
    "hartigan": Publication(
        "Hartigan 1969",
        "Hartigan, J. A. (1969). Using subsample values as typical values. Journal of the "
        "American Statistical Association 64, 1303–1317.",
    ),
    "holm": Publication(
        "Holm 1979",
        "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian "
        "Journal of Statistics 6, 65–70.",
    ),
    "integrated": Publication(
        "Sundararajan et al. 2017",
        "Sundararajan, M., Taly, A. & Yan, Q. (2017). Axiomatic attribution for deep networks. "
        "Proceedings of the 34th International Conference on Machine Learning, PMLR 70, "
        "3319–3328.",
        cited_as="Sundararajan, Taly & Yan, ICML 2017",
    ),
    "inputs": Publication(
        "Shrikumar et al. 2016",
        "Shrikumar, A., Greenside, P., Shcherbina, A. & Kundaje, A. (2016). Not just a black box: "
        "learning important features through propagating activation differences. "
        "arXiv:1605.01713.",
        cited_as="Shrikumar et al. 2016, arXiv:1605.01713",
    ),
    "krogh": Publication(
        "Krogh & Hertz 1991",
        "Krogh, A. & Hertz, J. A. (1991). A simple weight decay can improve generalization. "
        "Advances in Neural Information Processing Systems 4, 950–957.",
        cited_as="Krogh & Hertz, NeurIPS 1991",
    ),
    "lasso": Publication(
        "Tibshirani 1996",
        "Tibshirani, R. (1996). Regression shrinkage and selection via the lasso. Journal of the "
        "Royal Statistical Society B 58, 267–288.",
        "10.1111/j.2517-6161.1996.tb02080.x",
        "Tibshirani, JRSS B 1996",
    ),
    "majdandzic": Publication(
        "Majdandzic et al. 2023",
        "Majdandzic, A., Rajesh, C. & Koo, P. K. (2023). Correcting gradient-based "
        "interpretations of deep neural networks for genomics. Genome Biology 24, 109.",
        "10.1186/s13059-023-02956-3",
        "Majdandzic, Rajesh & Koo, Genome Biology 2023",
    ),
    "modisco": Publication(
        "Shrikumar et al. 2018",
        "Shrikumar, A. et al. (2018). Technical note on transcription factor motif discovery from "
        "importance scores (TF-MoDISco) version 0.5.6.5. arXiv:1811.00416.",
    ),
    "phipson": Publication(
        "Phipson & Smyth 2010",
        "Phipson, B. & Smyth, G. K. (2010). Permutation p-values should never be zero: "
        "calculating exact p-values when permutations are randomly drawn. Statistical "
        "Applications in Genetics and Molecular Biology 9, 39.",
        "10.2202/1544-6115.1585",
    ),
    "pitman": Publication(
        "Pitman 1937",
        "Pitman, E. J. G. (1937). Significance tests which may be applied to samples from any "
        "populations. Supplement to the Journal of the Royal Statistical Society 4, 119–130.",
        "10.2307/2984124",
    ),
    "ross": Publication(
        "Ross et al. 2017",
        "Ross, A. S., Hughes, M. C. & Doshi-Velez, F. (2017). Right for the right reasons: "
        "training differentiable models by constraining their explanations. Proceedings of the "
        "26th International Joint Conference on Artificial Intelligence, 2662–2670.",
        "10.24963/ijcai.2017/371",
        "Ross, Hughes & Doshi-Velez, IJCAI 2017",
    ),
    "robust": Publication(
        "Ross & Doshi-Velez 2018",
        "Ross, A. S. & Doshi-Velez, F. (2018). Improving the adversarial robustness and "
        "interpretability of deep neural networks by regularizing their input gradients. "
        "Proceedings of the AAAI Conference on Artificial Intelligence 32.",
        "10.1609/aaai.v32i1.11504",
        "Ross & Doshi-Velez, AAAI 2018",
    ),
    "saliency": Publication(
        "Simonyan et al. 2013",
        "Simonyan, K., Vedaldi, A. & Zisserman, A. (2013). Deep inside convolutional networks: "
        "visualising image classification models and saliency maps. arXiv:1312.6034.",
        cited_as="Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034",
    ),
    "schuirmann": Publication(
        "Schuirmann 1987",
        "Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the "
        "power approach for assessing the equivalence of average bioavailability. Journal of "
        "Pharmacokinetics and Biopharmaceutics 15, 657–680.",
        "10.1007/BF01068419",
    ),
    "shap": Publication(
        "Lundberg & Lee 2017",
        "Lundberg, S. M. & Lee, S.-I. (2017). A unified approach to interpreting model "
        "predictions. Advances in Neural Information Processing Systems 30.",
        cited_as="Lundberg & Lee, NeurIPS 2017",
    ),
    "strazar": Publication(
        "Stražar et al. 2016",
        "Stražar, M., Žitnik, M., Zupan, B., Ule, J. & Curk, T. (2016). Orthogonal matrix "
        "factorization enables integrative analysis of multiple RNA binding proteins. "
        "Bioinformatics 32, 1527–1535.",
        cited_as="Strazar et al., Bioinformatics 2016",
    ),
    "tangermeme": Publication(
        "Schreiber 2025",
        "Schreiber, J. (2025). tangermeme: a toolkit for understanding cis-regulatory logic using "
        "deep learning models. bioRxiv.",
        "10.1101/2025.08.08.669296",
        "tangermeme (Schreiber 2025)",
    ),
    "tomtom": Publication(
        "Gupta et al. 2007",
        "Gupta, S., Stamatoyannopoulos, J. A., Bailey, T. L. & Noble, W. S. (2007). Quantifying "
        "similarity between motifs. Genome Biology 8, R24.",
        "10.1186/gb-2007-8-2-r24",
    ),
    "wilcoxon": Publication(
        "Wilcoxon 1945",
        "Wilcoxon, F. (1945). Individual comparisons by ranking methods. Biometrics Bulletin 1, "
        "80–83.",
        "10.2307/3001968",
    ),
}
_BY_CITATION = {work.cited_as: work for work in WORKS.values() if work.cited_as}


def named_works(citation: str) -> list[str]:
    """The single citations that a component's ``citation`` is made of."""
    return [part.strip() for part in citation.split(";") if part.strip()]


class Bibliography:
    """What a text cites, in the order of authors."""

    def __init__(self) -> None:
        """Nothing is cited yet."""
        self._cited: set[str] = set()

    def cite(self, *keys: str) -> str:
        """Works by key, in parentheses: ``(Fisher 1935; Pitman 1937)``."""
        return self._parenthesis([WORKS[key] for key in keys])

    def cite_component(self, citation: str) -> str:
        """What a component cites, in parentheses; what is not in WORKS as it is written there."""
        return self._parenthesis(
            [_BY_CITATION.get(name, name) for name in dict.fromkeys(named_works(citation))]
        )

    def _parenthesis(self, found: Iterable[Publication | str]) -> str:
        words = []
        for one in found:
            words.append(one.short if isinstance(one, Publication) else one)
            if isinstance(one, Publication):
                self._cited.add(one.text)
        return f"({'; '.join(words)})" if words else ""

    @property
    def references(self) -> list[str]:
        """In full what has been cited so far."""
        return sorted(self._cited, key=str.casefold)
