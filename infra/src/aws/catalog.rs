//! The service catalog.

use crate::core::resources;

resources! {
    /// A portfolio of products.
    Portfolio = "AWS::ServiceCatalog::Portfolio" {
        display_name: "DisplayName",
        description: "Description",
        provider_name: "ProviderName",
        tags: "Tags",
    } [portfolio_name: "PortfolioName"]

    /// A product that is a template.
    Product = "AWS::ServiceCatalog::CloudFormationProduct" {
        name: "Name",
        description: "Description",
        distributor: "Distributor",
        owner: "Owner",
        provisioning_artifact_parameters: "ProvisioningArtifactParameters",
        support_description: "SupportDescription",
        support_url: "SupportUrl",
        tags: "Tags",
    } [product_name: "ProductName"]

    /// That a product is in a portfolio.
    PortfolioProduct = "AWS::ServiceCatalog::PortfolioProductAssociation" {
        portfolio_id: "PortfolioId" replace,
        product_id: "ProductId" replace,
    }

    /// Who may use a portfolio.
    PortfolioPrincipal = "AWS::ServiceCatalog::PortfolioPrincipalAssociation" {
        portfolio_id: "PortfolioId" replace,
        principal_arn: "PrincipalARN" replace,
        principal_type: "PrincipalType" replace,
    }

    /// The role by which a product is set up.
    LaunchRole = "AWS::ServiceCatalog::LaunchRoleConstraint" {
        portfolio_id: "PortfolioId" replace,
        product_id: "ProductId" replace,
        role_arn: "RoleArn",
        description: "Description",
    }
}
