# Times what package metrics' benchmarks time, with R's glm and pROC, on the same
# kind of data. See README.md. Usage: Rscript peers.R plr_like_n208.csv
suppressMessages(library(pROC))
args <- commandArgs(trailingOnly = TRUE)
d <- read.csv(args[1]); y <- d$y_true; p <- d$y_prob; x <- qlogis(p)
set.seed(1)
timed <- function(name, work, times = 1) {
  cpu <- function() { t <- system.time(work()); t[["user.self"]] + t[["sys.self"]] }
  cat(sprintf("%s\t%.4f s of CPU\n", name, min(replicate(times, cpu()))))
}
rank_auc <- function(y, p) {
  n1 <- sum(y); (sum(rank(p)[y == 1]) - n1 * (n1 + 1) / 2) / (n1 * (length(y) - n1))
}
timed("1000 replicates, n = 208, R: ranks, mean, glm.fit", function() for (b in 1:1000) {
  i <- sample.int(length(y), replace = TRUE)
  rank_auc(y[i], p[i]); mean((y[i] - p[i])^2)
  suppressWarnings(glm.fit(cbind(1, x[i]), y[i], family = binomial()))
})
n <- 1e6; Y <- numeric(n); Y[1:220000] <- 1
X <- rnorm(n) + 1.5 * Y - 1; P <- plogis(X)
timed("glm slope, n = 1e6", function() glm(Y ~ X, family = binomial), 2)
timed("glm.fit slope, n = 1e6", function() glm.fit(cbind(1, X), Y, family = binomial()), 2)
timed("pROC AUROC with DeLong's variance, n = 1e6", function() var(roc(Y, P, direction = "<", quiet = TRUE), method = "delong"), 2)
